//! Where parcels go: a text as one writes it on a parcel, of some lines.

/// Most characters of an address.
pub(super) const MAX_ADDRESS_CHARS: usize = 1_000;

/// An address of 1 to 1000 characters; line breaks are its only control characters. Personal: it is
/// sealed before anything is decided, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ShippingAddress(String);

impl ShippingAddress {
    /// Parses the text, without the blanks around it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.chars().nth(MAX_ADDRESS_CHARS).is_none();
        let plain = text
            .chars()
            .all(|c| !c.is_control() || matches!(c, '\n' | '\r'));
        (fits && plain).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ShippingAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShippingAddress(..)")
    }
}
