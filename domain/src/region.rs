//! Region: a market with one currency and one tax rule.
//!
//! The currency never changes; the tax rule may, and each order keeps the one it was placed under. A disabled region
//! takes no new orders while those it has finish; so does a deleted one, for good, and it is shown no more. Its stream id is the [`RegionId`]. That only one region is the
//! default of a currency is kept by a unique key in the append, since it spans streams.

use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{Decider, impl_aggregate, impl_domain_event},
    ids::RegionId,
    money::{Currency, TaxRate},
    text::{CountryCode, Title},
};

/// Aggregate type of regions in the log.
pub const TYPE: &str = "region";

/// What happened to a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum RegionEvent {
    /// A region was opened; it is enabled.
    RegionOpened {
        /// Which.
        region_id: RegionId,
        /// Its name.
        title: Title,
        /// Where it is.
        country: CountryCode,
        /// What its prices are in, for good.
        currency: Currency,
        /// Rate of its sales tax, in basis points.
        tax_rate: TaxRate,
        /// Whether prices contain the tax.
        prices_include_tax: bool,
        /// Whether a product that names only a currency lands here.
        default_for_currency: bool,
    },
    /// Something that may change did; all such fields as they are now.
    RegionChanged {
        /// Its name.
        title: Title,
        /// Where it is.
        country: CountryCode,
        /// Rate of its sales tax, in basis points.
        tax_rate: TaxRate,
        /// Whether prices contain the tax.
        prices_include_tax: bool,
        /// Whether a product that names only a currency lands here.
        default_for_currency: bool,
    },
    /// It takes no new orders.
    RegionDisabled {},
    /// It takes orders again.
    RegionEnabled {},
    /// It takes no new orders for good, is nobody's default, and is shown no more.
    RegionDeleted {},
}

impl_domain_event!(RegionEvent {
    RegionOpened,
    RegionChanged,
    RegionDisabled,
    RegionEnabled,
    RegionDeleted
});

/// A region as its events tell; empty until it is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    opened: Option<RegionDetails>,
}

/// An opened region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any of them may hold"
)]
pub struct RegionDetails {
    /// Which.
    pub region_id: RegionId,
    /// Its name.
    pub title: Title,
    /// Where it is.
    pub country: CountryCode,
    /// What its prices are in.
    pub currency: Currency,
    /// Rate of its sales tax.
    pub tax_rate: TaxRate,
    /// Whether prices contain the tax.
    pub prices_include_tax: bool,
    /// Whether a product that names only a currency lands here.
    pub default_for_currency: bool,
    /// Whether it takes new orders.
    pub enabled: bool,
    /// Whether it is shown no more.
    pub deleted: bool,
}

/// What an order freezes of its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionTerms {
    /// Which region.
    pub region_id: RegionId,
    /// Currency of all amounts of the order.
    pub currency: Currency,
    /// Rate of the sales tax.
    pub tax_rate: TaxRate,
    /// Whether prices contain the tax.
    pub prices_include_tax: bool,
}

impl Region {
    /// The region, once opened.
    pub const fn details(&self) -> Option<&RegionDetails> {
        self.opened.as_ref()
    }

    /// The terms of a new order here; refused when the region is unknown or disabled.
    pub fn terms(&self) -> Result<RegionTerms, RegionError> {
        let region = self.opened.as_ref().ok_or(RegionError::NotFound)?;
        if !region.enabled {
            return Err(RegionError::Disabled);
        }
        Ok(region.terms())
    }
}

impl RegionDetails {
    /// What orders here are placed by, whether or not any are taken now.
    pub const fn terms(&self) -> RegionTerms {
        RegionTerms {
            region_id: self.region_id,
            currency: self.currency,
            tax_rate: self.tax_rate,
            prices_include_tax: self.prices_include_tax,
        }
    }
}

/// What can be asked of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegionCommand {
    /// Open a new one.
    OpenRegion {
        /// Which.
        region_id: RegionId,
        /// Its name.
        title: Title,
        /// Where it is.
        country: CountryCode,
        /// What its prices will be in, for good.
        currency: Currency,
        /// Rate of its sales tax.
        tax_rate: TaxRate,
        /// Whether prices contain the tax.
        prices_include_tax: bool,
        /// Whether a product that names only a currency lands here.
        default_for_currency: bool,
    },
    /// Change what is given and keep the rest.
    ChangeRegion {
        /// Its name.
        title: Option<Title>,
        /// Where it is.
        country: Option<CountryCode>,
        /// Rate of its sales tax.
        tax_rate: Option<TaxRate>,
        /// Whether prices contain the tax.
        prices_include_tax: Option<bool>,
        /// Whether a product that names only a currency lands here.
        default_for_currency: Option<bool>,
    },
    /// Take no new orders.
    DisableRegion,
    /// Take orders again.
    EnableRegion,
    /// Take no new orders for good, and be shown no more.
    DeleteRegion,
}

/// Why a region refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// There is no such region.
    #[error("the region does not exist")]
    NotFound,
    /// The id is taken by another region.
    #[error("the region exists already")]
    AlreadyExists,
    /// It takes no new orders.
    #[error("the region is disabled")]
    Disabled,
    /// It was deleted.
    #[error("the region was deleted")]
    Deleted,
}

impl_aggregate!(Region, TYPE, RegionCommand, RegionEvent, RegionError);

impl Decider for Region {
    const STATE_VERSION: i32 = 2;
    const EVENTS: &'static [(&'static str, &'static str)] = RegionEvent::CATALOGUE;

    fn decide(&self, command: RegionCommand) -> Result<Vec<RegionEvent>, RegionError> {
        let wished = match command {
            RegionCommand::OpenRegion {
                region_id,
                title,
                country,
                currency,
                tax_rate,
                prices_include_tax,
                default_for_currency,
            } => {
                let wished = RegionDetails {
                    region_id,
                    title,
                    country,
                    currency,
                    tax_rate,
                    prices_include_tax,
                    default_for_currency,
                    enabled: true,
                    deleted: false,
                };
                return self.open(wished);
            }
            RegionCommand::ChangeRegion {
                title,
                country,
                tax_rate,
                prices_include_tax,
                default_for_currency,
            } => {
                let now = self.shown()?.clone();
                RegionDetails {
                    title: title.unwrap_or(now.title),
                    country: country.unwrap_or(now.country),
                    tax_rate: tax_rate.unwrap_or(now.tax_rate),
                    prices_include_tax: prices_include_tax.unwrap_or(now.prices_include_tax),
                    default_for_currency: default_for_currency.unwrap_or(now.default_for_currency),
                    ..now
                }
            }
            RegionCommand::DisableRegion => return self.switch(false),
            RegionCommand::EnableRegion => return self.switch(true),
            RegionCommand::DeleteRegion => return self.delete(),
        };
        if self.opened.as_ref() == Some(&wished) {
            return Ok(vec![]);
        }
        Ok(vec![RegionEvent::RegionChanged {
            title: wished.title,
            country: wished.country,
            tax_rate: wished.tax_rate,
            prices_include_tax: wished.prices_include_tax,
            default_for_currency: wished.default_for_currency,
        }])
    }

    fn evolve(&mut self, event: &RegionEvent) {
        match (event, &mut self.opened) {
            (
                RegionEvent::RegionOpened {
                    region_id,
                    title,
                    country,
                    currency,
                    tax_rate,
                    prices_include_tax,
                    default_for_currency,
                },
                opened,
            ) => {
                *opened = Some(RegionDetails {
                    region_id: *region_id,
                    title: title.clone(),
                    country: country.clone(),
                    currency: *currency,
                    tax_rate: *tax_rate,
                    prices_include_tax: *prices_include_tax,
                    default_for_currency: *default_for_currency,
                    enabled: true,
                    deleted: false,
                });
            }
            (
                RegionEvent::RegionChanged {
                    title,
                    country,
                    tax_rate,
                    prices_include_tax,
                    default_for_currency,
                },
                Some(region),
            ) => {
                region.title = title.clone();
                region.country = country.clone();
                region.tax_rate = *tax_rate;
                region.prices_include_tax = *prices_include_tax;
                region.default_for_currency = *default_for_currency;
            }
            (RegionEvent::RegionDisabled {}, Some(region)) => region.enabled = false,
            (RegionEvent::RegionEnabled {}, Some(region)) => region.enabled = true,
            (RegionEvent::RegionDeleted {}, Some(region)) => {
                region.deleted = true;
                region.enabled = false;
                region.default_for_currency = false;
            }
            (_, None) => {}
        }
    }

    fn weight(&self) -> usize {
        let region = self.opened.as_ref();
        region.map_or(0, |region| region.title.as_str().len())
    }
}

impl Region {
    fn open(&self, wished: RegionDetails) -> Result<Vec<RegionEvent>, RegionError> {
        match &self.opened {
            Some(region) if *region == wished => Ok(vec![]),
            Some(_) => Err(RegionError::AlreadyExists),
            None => Ok(vec![RegionEvent::RegionOpened {
                region_id: wished.region_id,
                title: wished.title,
                country: wished.country,
                currency: wished.currency,
                tax_rate: wished.tax_rate,
                prices_include_tax: wished.prices_include_tax,
                default_for_currency: wished.default_for_currency,
            }]),
        }
    }

    fn switch(&self, enabled: bool) -> Result<Vec<RegionEvent>, RegionError> {
        Ok(match (self.shown()?.enabled, enabled) {
            (true, false) => vec![RegionEvent::RegionDisabled {}],
            (false, true) => vec![RegionEvent::RegionEnabled {}],
            (true, true) | (false, false) => vec![],
        })
    }

    fn delete(&self) -> Result<Vec<RegionEvent>, RegionError> {
        match self.shown() {
            Ok(_) => Ok(vec![RegionEvent::RegionDeleted {}]),
            Err(RegionError::Deleted) => Ok(vec![]),
            Err(error) => Err(error),
        }
    }

    /// The region, unless it was deleted.
    fn shown(&self) -> Result<&RegionDetails, RegionError> {
        let region = self.opened.as_ref().ok_or(RegionError::NotFound)?;
        if region.deleted {
            return Err(RegionError::Deleted);
        }
        Ok(region)
    }
}

#[cfg(test)]
mod tests;
