package wallet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"filippo.io/age"
	"filippo.io/age/armor"

	"cairn/consensus"
	"cairn/types"
)

const (
	maxWorkFactor = 20      // of a file that is read: 1 GiB of memory
	maxSecret     = 1 << 16 // bytes of secret.age
)

// workFactor is the logarithm of the work and memory that each guess at a
// passphrase costs: 18 is age's own, 256 MiB and about a second. Tests lower it.
var workFactor = 18

// Keys are the wallet's secret while it is unlocked. Printing them shows
// nothing of it.
type Keys struct {
	wallet *Wallet
	words  Words
}

// Unlock decrypts the words and checks that they give every account of the
// wallet. The errors are ErrPassphrase, ErrDamaged and those of the file system.
// It takes about a second and 256 MiB.
func (w *Wallet) Unlock(passphrase []byte) (*Keys, error) {
	words, err := w.readSecret(passphrase)
	if err != nil {
		return nil, err
	}
	return &Keys{w, words}, nil
}

// ChangePassphrase encrypts the words anew. Copies of the old secret.age keep
// the old passphrase. The errors are those of Unlock, ErrEmptyPassphrase and
// ErrBusy.
func (w *Wallet) ChangePassphrase(old, passphrase []byte) error {
	if len(passphrase) == 0 {
		return ErrEmptyPassphrase
	}
	lock, err := lockDir(w.dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	words, err := w.readSecret(old)
	if err != nil {
		return err
	}
	data, err := seal(words, passphrase)
	if err != nil {
		return err
	}
	return writeFile(w.dir, secretName, data)
}

// Holds tells whether the wallet has the key of an account.
func (k *Keys) Holds(account types.Account) bool {
	return slices.ContainsFunc(k.wallet.accounts, func(e Entry) bool { return e.Account == account })
}

// Words returns the words, for a backup on paper.
func (k *Keys) Words() Words { return k.words }

// Sign puts its sender's signature into t, whose other fields are final. The
// errors are ErrNetwork for rules of another network than the wallet's,
// ErrNotOurs for a sender that is none of its accounts, and ErrMemo and those of
// consensus.Rules.CheckTransfer for what no block may hold.
func (k *Keys) Sign(rules *consensus.Rules, t *types.Transfer) error {
	if ours := k.wallet.rules; rules.ChainID() != ours.ChainID() {
		return fmt.Errorf("transfer is %w: chain %v of %s, the wallet is of chain %v of %s",
			ErrNetwork, rules.ChainID(), rules.Name, ours.ChainID(), ours.Name)
	}
	if err := check(rules, t); err != nil {
		return err
	}
	for _, e := range k.wallet.accounts {
		if e.Account != t.Sender {
			continue
		}
		key := k.words.Key(e.Index)
		if accountOf(key) != t.Sender {
			return k.wallet.foreign(e)
		}
		rules.Sign(t, key)
		return nil
	}
	return fmt.Errorf("%w: %s; its accounts are %s", ErrNotOurs, rules.FormatAccount(t.Sender), k.wallet.names())
}

func (w *Wallet) readSecret(passphrase []byte) (Words, error) {
	data, err := readFile(w.dir, secretName, maxSecret)
	if err != nil {
		return Words{}, err
	}
	words, err := unseal(data, passphrase)
	if err != nil {
		return Words{}, fmt.Errorf("%w: %s", err, filepath.Join(w.dir, secretName))
	}
	return words, w.checkWords(words)
}

// checkWords checks that words give every account that is said to be theirs, so
// that nobody who can change public.json receives in their place.
func (p *public) checkWords(words Words) error {
	seed := words.seed()
	for _, e := range p.accounts {
		if accountAt(seed, e.Index) != e.Account {
			return p.foreign(e)
		}
	}
	return nil
}

// foreign is the error for an account that is not what the words give.
func (p *public) foreign(e Entry) error {
	return fmt.Errorf("%w: the words do not give the account %q, %s, number %d of %s: the two files are of two wallets, or one was changed",
		ErrDamaged, e.Name, p.rules.FormatAccount(e.Account), e.Index, publicName)
}

// seal encrypts the words as secret.age.
func seal(words Words, passphrase []byte) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(workFactor)
	var b bytes.Buffer
	armored := armor.NewWriter(&b)
	plain, err := age.Encrypt(armored, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(plain, words.Reveal()+"\n"); err != nil {
		return nil, err
	}
	if err := errors.Join(plain.Close(), armored.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

var (
	errNotSealed  = fmt.Errorf("%w: not an armored age file with a passphrase", ErrDamaged)
	errSealedElse = fmt.Errorf("%w: something else than words is encrypted", ErrDamaged)
)

// unseal decrypts secret.age. What age and ParseWords say of a file is not passed
// on: they quote from it, and it may be the words, decrypted by someone.
func unseal(data, passphrase []byte) (Words, error) {
	identity, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return Words{}, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	plain, err := age.Decrypt(armor.NewReader(bytes.NewReader(data)), identity)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return Words{}, ErrPassphrase
	}
	if err != nil {
		return Words{}, errNotSealed
	}
	text, err := io.ReadAll(io.LimitReader(plain, maxWordsText+1))
	if err != nil {
		return Words{}, errNotSealed
	}
	words, err := ParseWords(string(text))
	if err != nil {
		return Words{}, errSealedElse
	}
	return words, nil
}
