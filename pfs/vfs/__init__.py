"""What programs can do on a mount: names, attributes, handles, `.pfs`, durability."""
