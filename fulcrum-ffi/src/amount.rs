//! Amounts, as text and as micro-units.

use std::ffi::{CString, c_char};

use fulcrum_core::model::to_micros;
use rust_decimal::Decimal;

use crate::text::c_text;

/// An amount, net. The text belongs to the handle that it was read from and lives as long as that.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_amount {
    /// Exact, in decimal digits, such as "12.5"; ended by NUL; borrowed.
    pub text: *const c_char,
    /// In micro-units (1/1,000,000), rounded half to even; INT64_MAX or INT64_MIN beyond a thousand million units.
    pub micros: i64,
}

/// What a [`fulcrum_amount`] is lent from.
#[derive(Debug, Clone)]
pub(crate) struct Amount {
    text: CString,
    micros: i64,
}

impl Amount {
    pub(crate) fn new(amount: Decimal) -> Self {
        let beyond = if amount.is_sign_negative() { i64::MIN } else { i64::MAX };
        Self { text: c_text(&amount.normalize().to_string()), micros: to_micros(amount).unwrap_or(beyond) }
    }

    /// One that there may not be: its text is NULL then.
    pub(crate) fn as_ptr_or_null(amount: Option<&Self>) -> fulcrum_amount {
        amount.map_or(fulcrum_amount { text: std::ptr::null(), micros: i64::MAX }, Self::as_ptr)
    }

    pub(crate) fn as_ptr(&self) -> fulcrum_amount {
        fulcrum_amount { text: self.text.as_ptr(), micros: self.micros }
    }
}
