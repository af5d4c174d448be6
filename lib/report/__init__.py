"""From measured runs to what is read: tables, effects, figures, the page, the README, what is published."""
