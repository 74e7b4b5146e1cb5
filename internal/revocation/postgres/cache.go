package postgres

// A Cache is told what has ended. Its methods are safe for concurrent use, and in force when they return.
type Cache interface {
	RevokeSession(id string)
	RevokeIdentity(id string)
	Flush()

	// Degrade says whether sessions may end without the cache being told.
	Degrade(degraded bool)
}
