//! Every command in every state of a region.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::testing::{REGION, assert_text, currency, given, outcomes, rate, title, when};

fn country(code: &str) -> CountryCode {
    CountryCode::parse(code).unwrap()
}

fn open(name: &str) -> RegionCommand {
    RegionCommand::OpenRegion {
        region_id: REGION,
        title: title(name),
        country: country("SG"),
        currency: currency("SGD"),
        tax_rate: rate(900),
        prices_include_tax: true,
        default_for_currency: false,
    }
}

const CHANGE_NOTHING: RegionCommand = RegionCommand::ChangeRegion {
    title: None,
    country: None,
    tax_rate: None,
    prices_include_tax: None,
    default_for_currency: None,
};

fn change_tax(basis_points: u32) -> RegionCommand {
    RegionCommand::ChangeRegion {
        title: None,
        country: None,
        tax_rate: Some(rate(basis_points)),
        prices_include_tax: None,
        default_for_currency: None,
    }
}

fn opened() -> Vec<RegionEvent> {
    when::<Region>(&[], open("Singapore")).unwrap()
}

fn disabled() -> Vec<RegionEvent> {
    [opened(), vec![RegionEvent::RegionDisabled {}]].concat()
}

fn deleted() -> Vec<RegionEvent> {
    [opened(), vec![RegionEvent::RegionDeleted {}]].concat()
}

#[test]
fn every_command_in_every_state() {
    let states = [
        ("unknown", vec![]),
        ("enabled", opened()),
        ("disabled", disabled()),
        (
            "enabled again",
            [disabled(), vec![RegionEvent::RegionEnabled {}]].concat(),
        ),
        ("deleted", deleted()),
    ];
    let commands = [
        ("OpenRegion, the same", open("Singapore")),
        ("OpenRegion, another", open("Elsewhere")),
        ("ChangeRegion, a new rate", change_tax(800)),
        ("ChangeRegion, the same rate", change_tax(900)),
        ("ChangeRegion, nothing", CHANGE_NOTHING),
        ("DisableRegion", RegionCommand::DisableRegion),
        ("EnableRegion", RegionCommand::EnableRegion),
        ("DeleteRegion", RegionCommand::DeleteRegion),
    ];
    let expected = "
OpenRegion, the same
  RegionOpened: unknown
  -: enabled, enabled again
  !AlreadyExists: disabled, deleted
OpenRegion, another
  RegionOpened: unknown
  !AlreadyExists: enabled, disabled, enabled again, deleted
ChangeRegion, a new rate
  !NotFound: unknown
  RegionChanged: enabled, disabled, enabled again
  !Deleted: deleted
ChangeRegion, the same rate
  !NotFound: unknown
  -: enabled, disabled, enabled again
  !Deleted: deleted
ChangeRegion, nothing
  !NotFound: unknown
  -: enabled, disabled, enabled again
  !Deleted: deleted
DisableRegion
  !NotFound: unknown
  RegionDisabled: enabled, enabled again
  -: disabled
  !Deleted: deleted
EnableRegion
  !NotFound: unknown
  -: enabled, enabled again
  RegionEnabled: disabled
  !Deleted: deleted
DeleteRegion
  !NotFound: unknown
  RegionDeleted: enabled, disabled, enabled again
  -: deleted
";
    assert_text(&outcomes::<Region>(&states, &commands), expected);
}

#[test]
fn a_change_keeps_what_is_not_given() {
    let expected = RegionEvent::RegionChanged {
        title: title("Singapore"),
        country: country("SG"),
        tax_rate: rate(800),
        prices_include_tax: true,
        default_for_currency: false,
    };
    assert_eq!(
        when::<Region>(&opened(), change_tax(800)),
        Ok(vec![expected])
    );
}

#[test]
fn every_field_that_may_change_changes() {
    let command = RegionCommand::ChangeRegion {
        title: Some(title("Lion City")),
        country: Some(country("my")),
        tax_rate: Some(rate(0)),
        prices_include_tax: Some(false),
        default_for_currency: Some(true),
    };
    let changed = when::<Region>(&opened(), command).unwrap();
    let region = given::<Region>(&[opened(), changed].concat());
    let expected = RegionDetails {
        region_id: REGION,
        title: title("Lion City"),
        country: country("MY"),
        currency: currency("SGD"),
        tax_rate: rate(0),
        prices_include_tax: false,
        default_for_currency: true,
        enabled: true,
        deleted: false,
    };
    assert_eq!(region.details(), Some(&expected));
}

#[test]
fn only_an_enabled_region_gives_terms_for_an_order() {
    let terms = RegionTerms {
        region_id: REGION,
        currency: currency("SGD"),
        tax_rate: rate(900),
        prices_include_tax: true,
    };
    assert_eq!(given::<Region>(&opened()).terms(), Ok(terms));
    for none in [disabled(), deleted()] {
        assert_eq!(given::<Region>(&none).terms(), Err(RegionError::Disabled));
    }
    assert_eq!(Region::default().terms(), Err(RegionError::NotFound));
}
