"""`python -m bias_intervene`: the application of `app.main`, nothing else."""

from bias_intervene.app import main

if __name__ == "__main__":
    main()
