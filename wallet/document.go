package wallet

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"cairn/consensus"
	"cairn/types"
)

// documentFormat is the first field of a document.
const documentFormat = "transfer 1"

// Document is a transfer with the genesis file of its network, signed or not yet:
// what travels between a machine that knows the chain and one that knows the
// keys. It holds everything that signing and checking the signature need, and
// people can read it.
type Document struct {
	rules    *consensus.Rules
	transfer types.Transfer
}

type documentJSON struct {
	Cairn     string          `json:"cairn"`
	Genesis   json.RawMessage `json:"genesis"`
	Transfer  transferJSON    `json:"transfer"`
	Signature *string         `json:"signature,omitempty"` // 128 hex digits
}

type transferJSON struct {
	Sender    string `json:"sender"`
	Recipient string `json:"recipient"`
	Amount    string `json:"amount"` // coins
	Fee       string `json:"fee"`    // coins
	Expiry    uint32 `json:"expiry"` // height
	Salt      string `json:"salt"`   // decimal: JSON's numbers lose such
	Memo      string `json:"memo"`
}

// UnmarshalJSON reads the object strictly.
func (f *documentJSON) UnmarshalJSON(data []byte) error {
	type plain documentJSON
	return strict(data, (*plain)(f), []string{"cairn", "genesis", "transfer"}, "signature")
}

// UnmarshalJSON reads the object strictly.
func (f *transferJSON) UnmarshalJSON(data []byte) error {
	type plain transferJSON
	return strict(data, (*plain)(f), []string{"sender", "recipient", "amount", "fee", "expiry", "salt", "memo"})
}

// NewDocument returns the document of a transfer on a network with signatures.
// One that is signed has a valid signature. The errors wrap ErrDocument together
// with ErrUnsigned, ErrMemo, or those of consensus.Rules for a transfer by itself
// and its signature.
func NewDocument(rules *consensus.Rules, t types.Transfer) (*Document, error) {
	d := &Document{rules, t}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return d, nil
}

// ParseDocument reads what Encode writes, at most 64 MiB. All of it is checked
// against the genesis file in it, a signature included; whether that network is
// the right one is for the caller to ask Rules. The errors wrap ErrDocument.
func ParseDocument(data []byte) (*Document, error) {
	d := new(Document)
	err := d.read(data)
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return d, nil
}

func (d *Document) read(data []byte) error {
	var f documentJSON
	err := f.UnmarshalJSON(data)
	if err != nil {
		return err
	}
	if f.Cairn != documentFormat {
		return fmt.Errorf("field \"cairn\" is %.100q; this version reads %q", f.Cairn, documentFormat)
	}
	if d.rules, err = parseGenesis(f.Genesis); err != nil {
		return err
	}
	if d.transfer, err = f.Transfer.read(d.rules); err != nil || f.Signature == nil {
		return err
	}
	signature, err := hex.DecodeString(*f.Signature)
	if err != nil || len(signature) != types.SignatureSize {
		return fmt.Errorf("field \"signature\" is not %d hex digits", 2*types.SignatureSize)
	}
	d.transfer.Signature = [types.SignatureSize]byte(signature)
	if !d.Signed() {
		return errors.New("field \"signature\" is all zero; it is left out while there is none")
	}
	return nil
}

func (f *transferJSON) read(rules *consensus.Rules) (t types.Transfer, err error) {
	if t.Sender, err = rules.ParseAccount(f.Sender); err != nil {
		return t, fmt.Errorf("sender: %w", err)
	}
	if t.Recipient, err = rules.ParseAccount(f.Recipient); err != nil {
		return t, fmt.Errorf("recipient: %w", err)
	}
	if t.Amount, err = rules.ParseAmount(f.Amount); err != nil {
		return t, fmt.Errorf("amount: %w", err)
	}
	if t.Fee, err = rules.ParseAmount(f.Fee); err != nil {
		return t, fmt.Errorf("fee: %w", err)
	}
	if t.Salt, err = strconv.ParseUint(f.Salt, 10, 64); err != nil {
		return t, fmt.Errorf("salt %.100q is not a whole number from 0 to 2^64 - 1", f.Salt)
	}
	t.Expiry, t.Memo = f.Expiry, f.Memo
	return t, nil
}

func (d *Document) check() error {
	if err := checkSigned(d.rules); err != nil {
		return err
	}
	if err := check(d.rules, &d.transfer); err != nil || !d.Signed() {
		return err
	}
	return d.rules.VerifySignatures([]types.Transfer{d.transfer}, nil)
}

// Encode returns the document as JSON, which ParseDocument reads.
func (d *Document) Encode() []byte {
	t := &d.transfer
	f := documentJSON{
		Cairn:   documentFormat,
		Genesis: d.rules.JSON(),
		Transfer: transferJSON{
			Sender:    d.rules.FormatAccount(t.Sender),
			Recipient: d.rules.FormatAccount(t.Recipient),
			Amount:    d.rules.FormatAmount(t.Amount),
			Fee:       d.rules.FormatAmount(t.Fee),
			Expiry:    t.Expiry,
			Salt:      strconv.FormatUint(t.Salt, 10),
			Memo:      t.Memo,
		},
	}
	if d.Signed() {
		signature := hex.EncodeToString(t.Signature[:])
		f.Signature = &signature
	}
	return encode(f)
}

// Signed tells whether the sender has signed; the signature is valid then.
func (d *Document) Signed() bool { return d.transfer.Signature != [types.SignatureSize]byte{} }

// Transfer returns the transfer, its signature all zero while there is none.
func (d *Document) Transfer() types.Transfer { return d.transfer }

// Rules returns the rules of the network that the document is for.
func (d *Document) Rules() *consensus.Rules { return d.rules }
