#![no_main]

use fulcrum_fuzz::bodies;

fulcrum_fuzz::target!(bodies::cassette::cassette);
