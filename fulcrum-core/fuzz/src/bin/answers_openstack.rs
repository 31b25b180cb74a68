#![no_main]

use fulcrum_fuzz::{bodies, imitation};

fulcrum_fuzz::target!(|bytes| bodies::answers::answers(imitation::openstack::API, bytes));
