//! Clothing: what is worn.

use super::{Attribute, Kind, Rule};

pub(super) const KIND: Kind = Kind {
    name: "clothing",
    summary: "what is worn",
    attributes: &[
        Attribute {
            name: "size",
            summary: "the size on its label",
            required: true,
            rule: Rule::OneOf(&["XXS", "XS", "S", "M", "L", "XL", "XXL", "one size"]),
        },
        Attribute {
            name: "colour",
            summary: "what colour it has, in the words of the shop",
            required: true,
            rule: Rule::Line,
        },
        Attribute {
            name: "material",
            summary: "what it is made of",
            required: false,
            rule: Rule::Line,
        },
        Attribute {
            name: "fit",
            summary: "whom it is cut for",
            required: false,
            rule: Rule::OneOf(&["women", "men", "unisex", "children"]),
        },
    ],
};
