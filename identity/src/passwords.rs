//! Choosing another password while one knows the old one. For those who do not, see [`crate::codes`].

use domain::ids::UserId;

use crate::{
    accounts::{Fault, Identity},
    codes, credentials,
    password::Password,
    sessions,
};

impl Identity {
    /// Puts a new password in the place of the old one, and ends all sessions, all access tokens and all codes of the
    /// person. Takes the old one as it was typed: a text that cannot be a password is a wrong one.
    pub async fn change_password(
        &self,
        user_id: UserId,
        current: &str,
        new: &Password,
    ) -> Result<(), ChangePasswordError> {
        let current = current.parse::<Password>().ok();
        let credential = credentials::of(&self.pool, user_id)
            .await
            .map_err(Fault::from)?;
        let hash = credential
            .as_ref()
            .map(|credential| &credential.password_hash);
        let verified = self
            .hasher
            .verify(current.as_ref(), hash)
            .await
            .map_err(Fault::from)?;
        let (true, Some(credential)) = (verified, credential) else {
            return Err(ChangePasswordError::WrongPassword);
        };
        let hash = self.hasher.hash(new).await.map_err(Fault::from)?;
        let mut transaction = self.pool.begin().await.map_err(Fault::from)?;
        let held = credentials::hold_verified(&mut transaction, &credential)
            .await
            .map_err(Fault::from)?;
        if held.is_none() {
            // changed by somebody else since it was verified
            return Err(ChangePasswordError::WrongPassword);
        }
        let changed = async {
            credentials::set_password(&mut transaction, user_id, &hash).await?;
            sessions::end_all(&mut transaction, user_id).await?;
            codes::end_all(&mut transaction, user_id).await?;
            transaction.commit().await
        };
        changed.await.map_err(Fault::from)?;
        self.standings.forget(user_id);
        Ok(())
    }
}

/// Why a password stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// What was given as the current one is not, or not any more.
    #[error("the current password is wrong")]
    WrongPassword,
    /// Not the client's doing.
    #[error(transparent)]
    Fault(#[from] Fault),
}
