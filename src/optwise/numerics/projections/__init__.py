"""Nearest points, extreme points and support functions of the sets that optimization projects onto."""
