"""What tests share: pictures, bodies, the shape of an error, callers of an application that can leave."""
