//! Reading what one has written: a query waits for its read model to get to the position that the client names.
//!
//! The position must be of this log (409 otherwise), the wait is bounded (503, ask again), and a row that a poison
//! event keeps behind is not passed off as current (503). Without a position a query is answered at once.

use std::fmt::Display;

use projections::View;

use crate::{error::ApiError, extract::MinPosition, problem::Kind, state::App};

impl App {
    /// Waits until the view has got to the position.
    pub async fn caught_up(
        &self,
        view: View,
        MinPosition(position): MinPosition,
    ) -> Result<(), ApiError> {
        let Some(head) = position else { return Ok(()) };
        if !self.log.holds(head).await? {
            return Err(Kind::PositionUnknown.into());
        }
        let schema = self.read_models.schema(view).await?;
        let patience = self.config.http.read_wait;
        self.subscriptions
            .wait_for(schema.as_str(), head.position, patience)
            .await?;
        Ok(())
    }

    /// Waits until the view has got to where the log is now: for what a command is decided on.
    pub async fn caught_up_with_all(&self, view: View) -> Result<(), ApiError> {
        let head = self.log.head().await?;
        self.caught_up(view, MinPosition(Some(head))).await
    }

    /// As [`Self::caught_up`], for one row of the view: refused where that row is parked.
    pub async fn caught_up_on(
        &self,
        view: View,
        key: impl Display + Send,
        position: MinPosition,
    ) -> Result<(), ApiError> {
        if position.0.is_none() {
            return Ok(());
        }
        self.caught_up(view, position).await?;
        if self.read_models.is_degraded(view, key).await? {
            return Err(Kind::ReadModelDegraded.into());
        }
        Ok(())
    }
}
