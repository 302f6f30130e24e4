"""Services as their authors would write them; the suite starts each under its real server."""
