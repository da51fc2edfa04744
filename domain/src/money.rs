//! Money: whole minor units of an ISO 4217 currency, tax in basis points, and the one rounding rule of Souk.
//!
//! Nothing here goes through a float and nothing wraps: arithmetic is done in 128 bits and what does not fit in 64
//! is an error. Rounding is half up; what is spread over lines is spread by largest remainder and adds up exactly.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why an amount cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not an active code of ISO 4217.
    #[error("currency must be an ISO 4217 code such as USD")]
    UnknownCurrency,
    /// Not a plain decimal number.
    #[error("amount must be a plain decimal number such as 25.99")]
    NotADecimal,
    /// More decimal places than the currency has.
    #[error("amount has more than the {allowed} decimal places of {currency}")]
    TooPrecise {
        /// The currency.
        currency: Currency,
        /// Its number of minor digits.
        allowed: u8,
    },
    /// Does not fit in 64 bits of minor units.
    #[error("amount is too large")]
    TooLarge,
    /// Two currencies where one was needed.
    #[error("amounts are of two currencies, {left} and {right}")]
    CurrenciesDiffer {
        /// Of the one amount.
        left: Currency,
        /// Of the other.
        right: Currency,
    },
    /// A tax rate beyond 100 %.
    #[error("tax rate must be 0 to 10000 basis points")]
    TaxRateOutOfRange,
    /// Something is to be spread, and nothing has any weight, or a negative one.
    #[error("an amount can only be spread over weights that are not negative and not all zero")]
    NothingToSpreadOver,
}

/// A currency by its ISO 4217 code; knows how many minor digits it has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: &'static str,
    exponent: u8,
}

/// Active national currencies and funds of ISO 4217 with their minor digits, sorted by code. Metals, test codes and
/// units of account without minor digits are left out: nothing is sold in them.
#[rustfmt::skip] // a table
const CURRENCIES: &[(&str, u8)] = &[
    ("AED", 2), ("AFN", 2), ("ALL", 2), ("AMD", 2), ("AOA", 2), ("ARS", 2), ("AUD", 2), ("AWG", 2), ("AZN", 2),
    ("BAM", 2), ("BBD", 2), ("BDT", 2), ("BHD", 3), ("BIF", 0), ("BMD", 2), ("BND", 2), ("BOB", 2), ("BOV", 2),
    ("BRL", 2), ("BSD", 2), ("BTN", 2), ("BWP", 2), ("BYN", 2), ("BZD", 2), ("CAD", 2), ("CDF", 2), ("CHE", 2),
    ("CHF", 2), ("CHW", 2), ("CLF", 4), ("CLP", 0), ("CNY", 2), ("COP", 2), ("COU", 2), ("CRC", 2), ("CUP", 2),
    ("CVE", 2), ("CZK", 2), ("DJF", 0), ("DKK", 2), ("DOP", 2), ("DZD", 2), ("EGP", 2), ("ERN", 2), ("ETB", 2),
    ("EUR", 2), ("FJD", 2), ("FKP", 2), ("GBP", 2), ("GEL", 2), ("GHS", 2), ("GIP", 2), ("GMD", 2), ("GNF", 0),
    ("GTQ", 2), ("GYD", 2), ("HKD", 2), ("HNL", 2), ("HTG", 2), ("HUF", 2), ("IDR", 2), ("ILS", 2), ("INR", 2),
    ("IQD", 3), ("IRR", 2), ("ISK", 0), ("JMD", 2), ("JOD", 3), ("JPY", 0), ("KES", 2), ("KGS", 2), ("KHR", 2),
    ("KMF", 0), ("KPW", 2), ("KRW", 0), ("KWD", 3), ("KYD", 2), ("KZT", 2), ("LAK", 2), ("LBP", 2), ("LKR", 2),
    ("LRD", 2), ("LSL", 2), ("LYD", 3), ("MAD", 2), ("MDL", 2), ("MGA", 2), ("MKD", 2), ("MMK", 2), ("MNT", 2),
    ("MOP", 2), ("MRU", 2), ("MUR", 2), ("MVR", 2), ("MWK", 2), ("MXN", 2), ("MXV", 2), ("MYR", 2), ("MZN", 2),
    ("NAD", 2), ("NGN", 2), ("NIO", 2), ("NOK", 2), ("NPR", 2), ("NZD", 2), ("OMR", 3), ("PAB", 2), ("PEN", 2),
    ("PGK", 2), ("PHP", 2), ("PKR", 2), ("PLN", 2), ("PYG", 0), ("QAR", 2), ("RON", 2), ("RSD", 2), ("RUB", 2),
    ("RWF", 0), ("SAR", 2), ("SBD", 2), ("SCR", 2), ("SDG", 2), ("SEK", 2), ("SGD", 2), ("SHP", 2), ("SLE", 2),
    ("SOS", 2), ("SRD", 2), ("SSP", 2), ("STN", 2), ("SVC", 2), ("SYP", 2), ("SZL", 2), ("THB", 2), ("TJS", 2),
    ("TMT", 2), ("TND", 3), ("TOP", 2), ("TRY", 2), ("TTD", 2), ("TWD", 2), ("TZS", 2), ("UAH", 2), ("UGX", 0),
    ("USD", 2), ("USN", 2), ("UYI", 0), ("UYU", 2), ("UYW", 4), ("UZS", 2), ("VED", 2), ("VES", 2), ("VND", 0),
    ("VUV", 0), ("WST", 2), ("XAF", 0), ("XCD", 2), ("XCG", 2), ("XOF", 0), ("XPF", 0), ("YER", 2), ("ZAR", 2),
    ("ZMW", 2), ("ZWG", 2),
];

impl Currency {
    /// Finds a currency by its code, in either case.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        let upper = code.to_ascii_uppercase();
        CURRENCIES
            .binary_search_by_key(&upper.as_str(), |(code, _)| code)
            .map(|index| Self {
                code: CURRENCIES[index].0,
                exponent: CURRENCIES[index].1,
            })
            .map_err(|_| MoneyError::UnknownCurrency)
    }

    /// The three letters.
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// Number of minor digits: 2 for USD, 0 for VND.
    pub const fn exponent(self) -> u8 {
        self.exponent
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Self::parse(code)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// An amount in minor units of its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units: cents of USD, whole dong of VND.
    pub amount: i64,
    /// Of which currency.
    pub currency: Currency,
}

impl Money {
    /// An amount of minor units.
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Nothing, in this currency.
    pub const fn zero(currency: Currency) -> Self {
        Self {
            amount: 0,
            currency,
        }
    }

    /// Parses a plain decimal such as `25.99` exactly: no sign, no exponent, no more decimal places than the
    /// currency has.
    pub fn parse_decimal(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(MoneyError::NotADecimal),
            None => (text, ""),
        };
        if whole.is_empty()
            || !whole
                .bytes()
                .chain(fraction.bytes())
                .all(|byte| byte.is_ascii_digit())
        {
            return Err(MoneyError::NotADecimal);
        }
        let allowed = currency.exponent;
        let Some(missing) = usize::from(allowed).checked_sub(fraction.len()) else {
            return Err(MoneyError::TooPrecise { currency, allowed });
        };
        let digits = whole
            .bytes()
            .chain(fraction.bytes())
            .chain(std::iter::repeat_n(b'0', missing));
        let amount = digits
            .map(|byte| i64::from(byte - b'0'))
            .try_fold(0_i64, |amount, digit| {
                amount.checked_mul(10)?.checked_add(digit)
            })
            .ok_or(MoneyError::TooLarge)?;
        Ok(Self { amount, currency })
    }

    /// The amount as a plain decimal with all decimal places of the currency, such as `25.99`.
    pub fn to_decimal_string(self) -> String {
        let sign = if self.amount < 0 { "-" } else { "" };
        let exponent = usize::from(self.currency.exponent);
        let digits = format!(
            "{:0width$}",
            self.amount.unsigned_abs(),
            width = exponent + 1
        );
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        if fraction.is_empty() {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{fraction}")
        }
    }

    /// The sum of two amounts of one currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let amount = self
            .amount
            .checked_add(other.amount)
            .ok_or(MoneyError::TooLarge)?;
        Ok(Self { amount, ..self })
    }

    /// The difference of two amounts of one currency.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let amount = self
            .amount
            .checked_sub(other.amount)
            .ok_or(MoneyError::TooLarge)?;
        Ok(Self { amount, ..self })
    }

    /// The amount, `times` times.
    pub fn checked_mul(self, times: i64) -> Result<Self, MoneyError> {
        let amount = self.amount.checked_mul(times).ok_or(MoneyError::TooLarge)?;
        Ok(Self { amount, ..self })
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrenciesDiffer {
                left: self.currency,
                right: other.currency,
            })
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal_string(), self.currency)
    }
}

/// A tax rate in basis points (hundredths of a percent): 0 to 10 000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct TaxRate(u16);

/// One whole in basis points.
const WHOLE: u16 = 10_000;

impl TaxRate {
    /// No tax.
    pub const ZERO: Self = Self(0);

    /// Parses basis points: 825 is 8.25 %.
    pub fn from_basis_points(basis_points: u32) -> Result<Self, MoneyError> {
        u16::try_from(basis_points)
            .ok()
            .filter(|basis_points| *basis_points <= WHOLE)
            .map(Self)
            .ok_or(MoneyError::TaxRateOutOfRange)
    }

    /// The rate in basis points.
    pub const fn basis_points(self) -> u32 {
        self.0 as u32
    }

    /// The tax that comes on top of `net` minor units, rounded half up.
    pub fn tax_on(self, net: i64) -> i64 {
        portion(net, i64::from(self.0), i64::from(WHOLE))
    }

    /// The tax that is contained in `gross` minor units, rounded half up.
    pub fn tax_within(self, gross: i64) -> i64 {
        portion(
            gross,
            i64::from(self.0),
            i64::from(WHOLE) + i64::from(self.0),
        )
    }
}

impl TryFrom<u32> for TaxRate {
    type Error = MoneyError;

    fn try_from(basis_points: u32) -> Result<Self, Self::Error> {
        Self::from_basis_points(basis_points)
    }
}

impl From<TaxRate> for u32 {
    fn from(rate: TaxRate) -> Self {
        rate.basis_points()
    }
}

/// `amount × part / whole`, rounded half up (towards positive infinity on a tie). `part` is 0 to `whole` and `whole`
/// is positive, so the result is never further from zero than `amount`.
pub(crate) fn portion(amount: i64, part: i64, whole: i64) -> i64 {
    debug_assert!(
        whole > 0 && (0..=whole).contains(&part),
        "a portion is at most the whole"
    );
    let (amount, part, whole) = (i128::from(amount), i128::from(part), i128::from(whole));
    (2 * amount * part + whole).div_euclid(2 * whole) as i64
}

/// Spreads `total` over `weights` in proportion, by largest remainder: the shares add up to `total` exactly, and of
/// equal remainders the earlier is served first. Nothing with weight zero gets a share.
pub fn allocate(total: i64, weights: &[i64]) -> Result<Vec<i64>, MoneyError> {
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    if weights.iter().any(|weight| *weight < 0) || (sum == 0 && total != 0) {
        return Err(MoneyError::NothingToSpreadOver);
    }
    if sum == 0 {
        return Ok(vec![0; weights.len()]);
    }
    let sign = i128::from(total.signum());
    let total = i128::from(total).abs();
    let mut shares: Vec<i128> = weights
        .iter()
        .map(|weight| total * i128::from(*weight) / sum)
        .collect();
    let rest = total - shares.iter().sum::<i128>();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    // stable: of equal remainders the earlier stays first
    by_remainder.sort_by_key(|index| std::cmp::Reverse(total * i128::from(weights[*index]) % sum));
    // the remainders add up to `rest` × `sum` and each is below `sum`: more than `rest` of them are not zero
    for index in by_remainder.into_iter().take(rest as usize) {
        shares[index] += 1;
    }
    // each share is between zero and `total`, which came as an i64
    Ok(shares
        .into_iter()
        .map(|share| (sign * share) as i64)
        .collect())
}

#[cfg(test)]
mod tests;
