//! Furniture: what a room is furnished with.

use super::{Attribute, Kind, Rule};

/// Millimetres that an edge may have.
const EDGE: Rule = Rule::Whole {
    least: 1,
    most: 10_000,
};

pub(super) const KIND: Kind = Kind {
    name: "furniture",
    summary: "what a room is furnished with",
    attributes: &[
        Attribute {
            name: "material",
            summary: "what it is made of",
            required: true,
            rule: Rule::Line,
        },
        Attribute {
            name: "width_mm",
            summary: "width in millimetres",
            required: true,
            rule: EDGE,
        },
        Attribute {
            name: "depth_mm",
            summary: "depth in millimetres",
            required: true,
            rule: EDGE,
        },
        Attribute {
            name: "height_mm",
            summary: "height in millimetres",
            required: true,
            rule: EDGE,
        },
        Attribute {
            name: "needs_assembly",
            summary: "whether it comes in parts",
            required: false,
            rule: Rule::YesOrNo,
        },
    ],
};
