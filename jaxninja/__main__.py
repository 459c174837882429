"""`python -m jaxninja`, for when the script is not on the path."""

from jaxninja.cli import main

raise SystemExit(main())
