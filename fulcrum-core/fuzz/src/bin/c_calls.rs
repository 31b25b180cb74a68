#![no_main]

fulcrum_fuzz::target!(fulcrum_fuzz::c_calls::c_calls);
