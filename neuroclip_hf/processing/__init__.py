"""What stands between stored trials and a model: processor, collator, cache of image features."""
