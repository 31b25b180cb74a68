-- When a claim was taken or renewed: one that begins in the future was written before the clock was set back.
ALTER TABLE orders ADD COLUMN claim_since TEXT;
