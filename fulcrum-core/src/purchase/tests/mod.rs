mod model_checker;
