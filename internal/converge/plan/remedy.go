package plan

import (
	"fmt"
	"strings"
)

// Remedy is one line of what a person can do about a refusal. It can only be
// made from a [Way], and each way is tried by a test.
type Remedy struct {
	way     Way
	form    string                        // with marks for commands of ours, and verbs for the words
	words   []any                         // of the case: names, paths and what others said, read by nobody
	command func(arguments string) string // nil: without the flags that name a cluster
}

// Way is a kind of remedy.
func (r Remedy) Way() Way { return r.way }

// String is the line as people read it.
func (r Remedy) String() string {
	return fmt.Sprintf(commands(r.command).Replace(r.form), r.words...)
}

// Spelled is the remedy with its commands written by command, which gets what
// follows the name of the program, or [Again]. Only whoever was called knows the
// flags that name this cluster; without them the command would be about another
// one.
func (r Remedy) Spelled(command func(arguments string) string) Remedy {
	r.command = command
	return r
}

// Again stands for the commands that destroy the cluster and make it again. To
// destroy it forgets its spec, so the second one has to say it.
const Again = "destroy, up"

func pleiad(arguments string) string {
	if arguments == Again {
		return "pleiad destroy && pleiad up"
	}
	return "pleiad " + arguments
}

// commands replaces the marks that stand for commands of pleiad in a form.
func commands(command func(arguments string) string) *strings.Replacer {
	if command == nil {
		command = pleiad
	}
	var pairs []string
	for _, c := range []struct{ mark, arguments string }{{"{up}", "up"}, {"{destroy}", "destroy"}, {"{plan-destroy}", "plan --destroy"}, {"{status}", "status"},
		{"{doctor}", "doctor"}, {"{take-over}", "take-over"}, {"{replace}", "replace"}, {"{remove}", "etcdctl -- member remove"}, {"{etcdctl}", "etcdctl -- "}, {"{start-over}", Again}} {
		pairs = append(pairs, c.mark, strings.ReplaceAll(command(c.arguments), "%", "%%"))
	}
	return strings.NewReplacer(pairs...)
}

// MarshalText makes a remedy a string in JSON.
func (r Remedy) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Way is a kind of remedy: a way out that a refusal may name. Done as printed
// it must leave the cluster better, so each one is carried out by a test:
// TestRemedies in internal/sim brings about a refusal that names it, does
// exactly what is printed, and runs the loop to success. That test fails for a
// way that it does not know.
//
// To add a remedy: add a constant here and its text to texts, use it with
// [Way.Say], and add its case to the table in
// internal/sim/remedies_test.go.
type Way int

// The ways.
const (
	ReadControl Way = iota
	ReadHosts
	ReachNameServer
	ServerSays
	CompareKey
	RemoveValues
	OtherDomain
	NewerPleiad
	OwnersDirectory
	SeeTakeDown
	UseOriginal
	TakeOver
	PutFolderBack
	TrustCopy
	FinishDestroy
	PutMarkerBack
	DestroyUnwanted
	DeleteRecords
	SetTLSBack
	SetMembersBack
	StartOver
	ReachHost
	ReachPlace
	PlaceSays
	OtherMachines
	PutDataBack
	PutNewestBack
	AcceptLoss
	LetOthersServe
	RemoveForeign
	RemoveHost
	RemoveByHand
	DeleteValues
	UndoMember
	RestartByHand
	MendRest
	SetClocks
	KeysSay
	SaveData
	EndMember
	PutRecordsBack
	RegainQuorum
	AddMachine
	ReplaceLost
	UpdateMember
	FindWhy
	SameMinor
	FixStartup
	TryAgain
	AgreeOlder
	AuthOff
	ReplaceCorrupt
	CompareHashes
	MakeRoom
	RaiseQuota
	Disarm
	FreeDisk
	OtherPlace
)

// texts are the words of each way, as formats. A word in braces stands for a
// command of pleiad; see [commands].
var texts = [...]string{
	ReadControl:     "pleiad cannot tell what belongs to this cluster: repair what is named above, then run the command again",
	ReadHosts:       "make the hosts readable and run the command again",
	ReachNameServer: "make the name server reachable and run the command again",
	ServerSays:      "%s",
	CompareKey:      "compare the key with the server's: its name, algorithm and secret, and the clocks; then see what it may do: {doctor}",
	RemoveValues:    "remove the values that are not pleiad's",
	OtherDomain:     "if the records are somebody else's, give this cluster another domain or a discoveryName",
	NewerPleiad:     "if a newer pleiad wrote it, use that",
	OwnersDirectory: "work from the state directory that made the cluster; to move it here, copy the whole directory, then: {take-over}",
	SeeTakeDown:     "if that directory is lost for good, see how the cluster is removed without it: {plan-destroy}",
	UseOriginal:     "work from the original",
	TakeOver:        "if this one is to replace the original: {take-over}",
	PutFolderBack:   "put the original folder back, if it was moved",
	TrustCopy:       "only if this member was stopped when the copy was made and has not run since: {take-over} && {up}",
	FinishDestroy:   "finish that first: {destroy}",
	PutMarkerBack:   "%s",
	DestroyUnwanted: "if the cluster is not wanted (this deletes its data): {destroy}",
	DeleteRecords:   "delete these records if nobody needs them",
	SetTLSBack:      "set tls back, or make a new cluster beside this one and move the data",
	SetMembersBack:  "set members: %d",
	StartOver:       "start over, without what is stored in it: {start-over}",
	ReachHost:       "see what is wrong with the host, repair it and run the command again: {doctor}",
	ReachPlace:      "make it reachable and run the command again, or remove its address from the spec if the machine is gone for good",
	PlaceSays:       "%s",
	OtherMachines:   "give the cluster other machines, or remove by hand what nobody needs there",
	PutDataBack:     "put its own data directory back, if it was moved",
	PutNewestBack:   "put its newest data directory back, if it was moved",
	AcceptLoss:      "only if the newest data is lost and no other member has newer data: rm %s on host %s, then {up}; writes acknowledged after %s are lost for good",
	LetOthersServe:  "leave it: the cluster serves as long as the others are a quorum",
	RemoveForeign:   "remove what does not belong there, then run the command again",
	RemoveHost:      "see what such a host holds, and remove it by hand if nobody needs it",
	RemoveByHand:    "%s",
	DeleteValues:    "%s",
	UndoMember:      "remove it again: {remove} %s",
	UpdateMember:    "put its peer URL back: {etcdctl}member update %s --peer-urls=%s",
	RestartByHand:   "%s",
	EndMember:       "%s",
	PutRecordsBack:  "%s",
	RegainQuorum:    "bring back enough of the members that do not serve, with their data, then run the command again; nothing was changed",
	AddMachine:      "add the address of a free machine to hosts.ssh.addresses, then run the command again",
	ReplaceLost:     "if it is gone for good, say so: {replace} %s",
	MendRest:        "first fix what else is wrong; see what that is: {status}",
	KeysSay:         "%s",
	SaveData:        "%s",
	SameMinor:       "use a pleiad with the etcd that the members run, or name that version as etcd.release in the spec",
	FixStartup:      "repair what the reason names, in the spec or on the host, or use a pleiad that works; then: {up}",
	TryAgain:        "%s",
	AgreeOlder:      "use the pleiad that the members run; or to go back to this one, run the command again and agree: {up}",
	AuthOff:         "turn etcd's auth off, run the command again, and turn it on afterwards: {etcdctl}--user=root auth disable; in a cluster with TLS pleiad has a user of its own",
	ReplaceCorrupt:  "if the others are right, give it up: {replace} %s",
	CompareHashes:   "etcd cannot tell whose data is wrong; compare what they have: {etcdctl}endpoint hashkv --cluster",
	MakeRoom:        "%s",
	RaiseQuota:      "or let it grow: raise quota-backend-bytes under etcd.options in the spec, then: {up}",
	Disarm:          "its cause is gone; end the alarm: {etcdctl}alarm disarm",
	OtherPlace:      "make it reachable and run the command again, or put the address of another machine in its place in the spec if the machine is gone for good",
	FreeDisk:        "make room on the disk of %s, %d MB or more, by removing what is not etcd's; then run the command again",
	FindWhy:         "find out what became of them, for the next one may go the same way; then: {up}",
	SetClocks:       "correct the clock of the host or of this machine, then run the command again",
}

// Ways are all there are.
func Ways() []Way {
	out := make([]Way, len(texts))
	for i := range out {
		out[i] = Way(i)
	}
	return out
}

// String is the text of a way, with a mark where each case has its own words.
func (w Way) String() string { return commands(nil).Replace(texts[w]) }

// Say is the way with the words of one case.
func (w Way) Say(words ...any) Remedy { return w.form(texts[w], words...) }

// form is the way with a form for this case.
func (w Way) form(form string, words ...any) Remedy { return Remedy{way: w, form: form, words: words} }

// lines are several lines of one way: commands stand alone.
func (w Way) lines(lines ...string) []Remedy {
	out := make([]Remedy, len(lines))
	for i, line := range lines {
		out[i] = w.Say(line)
	}
	return out
}

// remedies are ways that need no words of their own.
func remedies(ways ...Way) []Remedy {
	out := make([]Remedy, len(ways))
	for i, w := range ways {
		out[i] = w.Say()
	}
	return out
}
