"""What was made of a clip, to be looked at: a film with everything drawn in, a Rerun recording, a page."""
