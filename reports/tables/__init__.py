"""From the frame and a specification to tables in every form."""
