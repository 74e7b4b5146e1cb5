package app

// RotateKeys looks at the keys of identity tokens as it is done every 15 seconds.
func (a *App) RotateKeys() { a.rotateKeys() }
