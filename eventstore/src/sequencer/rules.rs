//! What units of one batch may not do to each other: the database checks keys and claims against what is stored, this
//! against what is about to be.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::unit::{Claim, Drafted, Failure, IdempotencyKey};

/// Keys and claims of the units that are in the batch already.
#[derive(Default)]
pub(super) struct WithinBatch {
    keys: HashSet<Uuid>,
    /// Owner by scope and value.
    claims: HashMap<(String, String), String>,
}

impl WithinBatch {
    /// True when the unit can only be decided after this batch is stored: its idempotency key is in the batch, or it
    /// gives up a claim that the batch makes.
    pub(super) fn must_wait(&self, key: Option<&IdempotencyKey>, drafted: &Drafted) -> bool {
        key.is_some_and(|key| self.keys.contains(&key.id))
            || drafted
                .releases
                .iter()
                .any(|release| self.claims.contains_key(release))
    }

    /// The failure of a unit that claims what a unit before it in the batch has claimed for another owner.
    pub(super) fn taken_claim(&self, claims: &[Claim]) -> Option<Failure> {
        claims.iter().find_map(|claim| {
            let owner = self
                .claims
                .get(&(claim.scope.clone(), claim.value.clone()))?;
            (*owner != claim.owner).then(|| Failure::ClaimTaken {
                scope: claim.scope.clone(),
                value: claim.value.clone(),
            })
        })
    }

    /// Takes note of a unit that joins the batch.
    pub(super) fn admit(&mut self, key: Option<&IdempotencyKey>, drafted: &Drafted) {
        self.keys.extend(key.map(|key| key.id));
        for claim in &drafted.claims {
            self.claims.insert(
                (claim.scope.clone(), claim.value.clone()),
                claim.owner.clone(),
            );
        }
    }
}
