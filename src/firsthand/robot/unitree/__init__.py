"""What an H1-2 and its Inspire hands speak: messages, checksum, motor order, and the one DDS that carries them."""
