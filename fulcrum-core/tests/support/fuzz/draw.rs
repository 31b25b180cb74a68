//! Decisions and texts out of bytes, from the front. Where the bytes end each decision is the first one, and each text empty.

use std::ops::Range;

/// What is left of an input.
#[derive(Debug)]
pub struct Draw<'a> {
    bytes: &'a [u8],
}

impl<'a> Draw<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    pub fn number(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub fn below(&mut self, end: usize) -> usize {
        if end <= 1 {
            return 0;
        }
        let number = if end <= 256 { usize::from(self.byte()) } else { usize::from(self.number()) };
        number % end
    }

    pub fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below(range.len())
    }

    /// In so many cases of 256; no where the bytes end.
    pub fn chance(&mut self, of_256: u8) -> bool {
        self.byte() >= 255 - of_256.saturating_sub(1) && of_256 > 0
    }

    pub fn choose<'c, T>(&mut self, all: &'c [T]) -> &'c T {
        &all[self.below(all.len())]
    }

    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let count = if most < 256 { usize::from(self.byte()) } else { usize::from(self.number()) };
        let (taken, rest) = self.bytes.split_at(count.min(most).min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    pub fn text(&mut self, most: usize) -> String {
        String::from_utf8_lossy(self.bytes(most)).into_owned()
    }
}
