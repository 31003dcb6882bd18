"""The shell of the console: sign-in, navigation, lists, forms, diagrams."""
