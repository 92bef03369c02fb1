"""`python -m mlimg_build` is `mlimg`."""

from mlimg_build.cli import main

if __name__ == "__main__":
    main()
