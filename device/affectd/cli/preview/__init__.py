"""`affectd preview`: the page to aim a camera and a microphone with."""
