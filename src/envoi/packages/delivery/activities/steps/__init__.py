"""What the activities on deliveries do in common: which delivery, how far it is brought, whom it reached."""
