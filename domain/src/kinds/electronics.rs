//! Electronics: what runs on current.

use super::{Attribute, Kind, Rule};

pub(super) const KIND: Kind = Kind {
    name: "electronics",
    summary: "what runs on current",
    attributes: &[
        Attribute {
            name: "brand",
            summary: "who makes it",
            required: true,
            rule: Rule::Line,
        },
        Attribute {
            name: "model",
            summary: "the maker's name for it",
            required: false,
            rule: Rule::Line,
        },
        Attribute {
            name: "warranty_months",
            summary: "months of the maker's warranty",
            required: true,
            rule: Rule::Whole {
                least: 0,
                most: 120,
            },
        },
        Attribute {
            name: "rechargeable",
            summary: "whether it has a battery that can be charged",
            required: false,
            rule: Rule::YesOrNo,
        },
    ],
};
