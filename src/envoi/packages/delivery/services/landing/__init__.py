"""What readers do on our pages: leave, subscribe, prefer, pass on (delivery.md §1.2, §2.10, §11)."""
