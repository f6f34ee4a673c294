package store

import "errors"

// The errors of Create and Open say what to do in their text; what they are is
// decided by errors.Is. None of them has touched the directory.
var (
	// ErrNoData says that the directory is missing, empty, or left over from a
	// Create that was interrupted.
	ErrNoData = errors.New("no data")
	// ErrExists says that Create was asked for a directory that holds data.
	ErrExists = errors.New("there is data already")
	// ErrNotCairn says that the directory holds something else.
	ErrNotCairn = errors.New("not a data directory of cairn")
	// ErrNewer says that a later version wrote the directory.
	ErrNewer = errors.New("written by a newer version of cairn")
	// ErrOlder says that an earlier version wrote the directory, in another layout.
	ErrOlder = errors.New("written by an older version of cairn")
	// ErrBusy says that another process, or another Store, has the directory open.
	ErrBusy = errors.New("in use by another process")
	// ErrDamaged says that what is stored is not what was written: by Open it
	// names a file, by reads a key.
	ErrDamaged = errors.New("stored data is damaged")
	// ErrNotFound says that no such record is stored.
	ErrNotFound = errors.New("not stored")
	// ErrFailed says that a write failed earlier. Whether that write survives is
	// unknown until the store is opened again; nothing more is written.
	ErrFailed = errors.New("the database can no longer be written")
)
