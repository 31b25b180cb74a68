#![no_main]

use fulcrum_fuzz::bodies;

fulcrum_fuzz::text_target!(bodies::texts::catalogue);
