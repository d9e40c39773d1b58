"""The Gradio page where people search their photos. Nothing is here yet."""
