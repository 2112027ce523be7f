"""The HTTP server: uvicorn with deadlines and limits. Stands on the base alone and knows no route."""
