"""What ``qmoe --help`` lists."""
