//! Rebuilds the regions: a few rows, folded in memory and written as the projector writes them.

use std::collections::HashMap;

use domain::region::{Region, RegionEvent};
use eventstore::subscription::HandleError;
use uuid::Uuid;

use super::{RegionView, RegionsProjector, fold};
use crate::{
    decode::{Decoded, EventRef, decode},
    rebuild::{Closed, Fold, Writer},
    views::Schema,
};

/// See the module.
pub(crate) struct RegionsFold {
    schema: Schema,
    regions: HashMap<Uuid, RegionView>,
}

impl Fold for RegionsFold {
    type Event = Decoded<RegionEvent>;

    /// There are as many rows as markets: no limit is needed.
    fn new(schema: &Schema, _limit: usize) -> Self {
        Self {
            schema: schema.clone(),
            regions: HashMap::new(),
        }
    }

    fn decode(event: &EventRef<'_>) -> Result<Self::Event, HandleError> {
        decode::<Region>(event)
    }

    fn take(&mut self, events: Vec<Self::Event>, _writer: &Writer) -> Result<(), Closed> {
        for event in &events {
            fold(&mut self.regions, event);
        }
        Ok(())
    }

    fn finish(&mut self, writer: &Writer) -> Result<(), Closed> {
        let regions = std::mem::take(&mut self.regions);
        let projector = RegionsProjector::within(self.schema.clone());
        writer.run(move |target| {
            Box::pin(async move {
                target.key("regions").await?;
                for region in regions.values() {
                    projector.store(region, &mut target.connection).await?;
                }
                Ok(())
            })
        })
    }
}
