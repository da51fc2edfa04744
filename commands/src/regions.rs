//! Commands on regions. The default region of a currency is a claim: of two that want it, one gets it.

use domain::{
    ids::RegionId,
    money::{Currency, TaxRate},
    region::{Region, RegionCommand, RegionDetails, RegionError},
    text::{CountryCode, Title},
};
use eventstore::{
    stream::StreamRef,
    unit::{Committed, Halt, Work},
};

use crate::{
    failure::{Failure, refuse},
    request::{Commands, Request, Versioned, check_version},
};

/// Scope of the claim that makes one region the default of its currency.
pub const DEFAULT_REGION_SCOPE: &str = "region-default";

/// A region to be opened. The id is made by the caller, at random or derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRegion {
    /// Which.
    pub region_id: RegionId,
    /// Its name.
    pub title: Title,
    /// Where it is.
    pub country: CountryCode,
    /// What its prices will be in, for good.
    pub currency: Currency,
    /// Rate of its sales tax.
    pub tax_rate: TaxRate,
    /// Whether prices contain the tax.
    pub prices_include_tax: bool,
    /// Whether a product that names only a currency lands here.
    pub default_for_currency: bool,
}

/// What is to change of a region; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionChanges {
    /// Its name.
    pub title: Option<Title>,
    /// Where it is.
    pub country: Option<CountryCode>,
    /// Rate of its sales tax; placed orders keep theirs.
    pub tax_rate: Option<TaxRate>,
    /// Whether prices contain the tax.
    pub prices_include_tax: Option<bool>,
    /// Whether a product that names only a currency lands here.
    pub default_for_currency: Option<bool>,
}

impl Commands {
    /// Opens a region; opened again with the same content, it is the same region.
    pub async fn open_region(
        &self,
        request: Request,
        region: NewRegion,
    ) -> Result<Committed<Versioned<RegionDetails>>, Failure> {
        let id = region.region_id;
        self.commit(request, vec![StreamRef::fresh::<Region>(id)], move |work| {
            let NewRegion {
                region_id,
                title,
                country,
                currency,
                tax_rate,
                prices_include_tax,
                default_for_currency,
            } = region.clone();
            let command = RegionCommand::OpenRegion {
                region_id,
                title,
                country,
                currency,
                tax_rate,
                prices_include_tax,
                default_for_currency,
            };
            let opened = work.execute::<Region>(id, command)?;
            if opened > 0 && default_for_currency {
                work.claim(DEFAULT_REGION_SCOPE, currency.code(), id);
            }
            region_now(work, id)
        })
        .await
    }

    /// Changes what is given and keeps the rest.
    pub async fn change_region(
        &self,
        request: Request,
        id: RegionId,
        changes: RegionChanges,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<RegionDetails>>, Failure> {
        self.commit(request, vec![StreamRef::of::<Region>(id)], move |work| {
            let before = region_now(work, id)?.state;
            check_version::<Region>(work, id, expected)?;
            let RegionChanges {
                title,
                country,
                tax_rate,
                prices_include_tax,
                default_for_currency,
            } = changes.clone();
            let command = RegionCommand::ChangeRegion {
                title,
                country,
                tax_rate,
                prices_include_tax,
                default_for_currency,
            };
            work.execute::<Region>(id, command)?;
            let after = region_now(work, id)?;
            match (
                before.default_for_currency,
                after.state.default_for_currency,
            ) {
                (false, true) => work.claim(DEFAULT_REGION_SCOPE, after.state.currency.code(), id),
                (true, false) => work.release(DEFAULT_REGION_SCOPE, after.state.currency.code()),
                (true, true) | (false, false) => {}
            }
            Ok(after)
        })
        .await
    }

    /// Takes no new orders there any more; those placed are finished.
    pub async fn disable_region(
        &self,
        request: Request,
        id: RegionId,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<RegionDetails>>, Failure> {
        self.switch_region(request, id, expected, RegionCommand::DisableRegion)
            .await
    }

    /// Takes orders there again.
    pub async fn enable_region(
        &self,
        request: Request,
        id: RegionId,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<RegionDetails>>, Failure> {
        self.switch_region(request, id, expected, RegionCommand::EnableRegion)
            .await
    }

    /// Shows it no more. It takes no new orders for good, like a disabled one; those placed are finished. Its currency may have
    /// another default region.
    pub async fn delete_region(
        &self,
        request: Request,
        id: RegionId,
        expected: Option<i64>,
    ) -> Result<Committed<Versioned<RegionDetails>>, Failure> {
        self.commit(request, vec![StreamRef::of::<Region>(id)], move |work| {
            let region = region_now(work, id)?;
            if region.state.deleted {
                return Ok(region);
            }
            check_version::<Region>(work, id, expected)?;
            work.execute::<Region>(id, RegionCommand::DeleteRegion)?;
            if region.state.default_for_currency {
                work.release(DEFAULT_REGION_SCOPE, region.state.currency.code());
            }
            region_now(work, id)
        })
        .await
    }

    /// The region that products land in which name only this currency, if there is one.
    pub async fn default_region(&self, currency: Currency) -> Result<Option<RegionId>, Failure> {
        let owner = self
            .log()
            .claim_owner(DEFAULT_REGION_SCOPE, currency.code())
            .await;
        let owner = owner.map_err(|error| Failure::Unavailable(error.to_string()))?;
        // claims in this scope are made here alone, by the id of a region
        Ok(owner.and_then(|owner| owner.parse().ok()))
    }

    async fn switch_region(
        &self,
        request: Request,
        id: RegionId,
        expected: Option<i64>,
        command: RegionCommand,
    ) -> Result<Committed<Versioned<RegionDetails>>, Failure> {
        self.commit(request, vec![StreamRef::of::<Region>(id)], move |work| {
            region_now(work, id)?;
            check_version::<Region>(work, id, expected)?;
            work.execute::<Region>(id, command.clone())?;
            region_now(work, id)
        })
        .await
    }
}

fn region_now(
    work: &mut Work<'_, Failure>,
    id: RegionId,
) -> Result<Versioned<RegionDetails>, Halt<Failure>> {
    let state = work
        .state::<Region>(id)?
        .details()
        .cloned()
        .ok_or_else(|| refuse(RegionError::NotFound))?;
    Ok(Versioned {
        state,
        sequence: work.sequence::<Region>(id)?,
    })
}
