package wallet

import "errors"

// What a function returns wraps one of these and adds the values. None of them
// ever holds a word, a passphrase or a key.

// Errors of a wallet and its files.
var (
	ErrExists   = errors.New("there is a wallet already")
	ErrNoWallet = errors.New("there is no wallet")
	// ErrBusy says that another process is changing the wallet, which takes it a
	// moment.
	ErrBusy    = errors.New("another process is changing the wallet")
	ErrDamaged = errors.New("wallet is not as it was written")
	// ErrUnsigned says that the network has no keys, so that nothing can be
	// kept secret or signed for it.
	ErrUnsigned = errors.New("network has no signatures: anyone may record a transfer, and no wallet is needed")
	// ErrNetwork says that two things are of different networks.
	ErrNetwork = errors.New("of another network")
)

// Errors of secrets.
var (
	ErrWords           = errors.New("not the words of a wallet")
	ErrPassphrase      = errors.New("passphrase is not right")
	ErrEmptyPassphrase = errors.New("passphrase is empty")
	// ErrNotOurs says that the wallet's words do not give the key of an account.
	ErrNotOurs = errors.New("account is not of this wallet")
)

// Errors of names and accounts.
var (
	ErrName    = errors.New("not a name that an account can have here")
	ErrUnknown = errors.New("no account of this name or address")
	ErrKnown   = errors.New("account has a name already")
	ErrIndex   = errors.New("accounts are numbered from 0 to 2147483647, ascending")
	// ErrDiscover says that more accounts are said to be in use than anyone has.
	ErrDiscover = errors.New("too many accounts are said to be in use")
)

// Errors of transfers and of the texts that carry them.
var (
	ErrMemo     = errors.New("memo is not text of at most 255 bytes")
	ErrDocument = errors.New("not a transfer document")
	ErrURI      = errors.New("not a payment URI")
)
