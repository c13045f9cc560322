// Package member is what runs on a host: it checks who the member is, waits
// until DNS, or etcd's own list, shows the exact truth, and then becomes etcd, in
// this process. It is at the far end of the data flow: delivery writes a node.Node to a
// host and starts `pleiad member` there, which is [Run]; observation reads with
// [Inspect] what came of it.
//
//	lock ─▶ status ─▶ identity ─┬─ own data ───────▶ resolver with pins ─────────────────▶ etcd
//	                            ├─ never had data ─▶ resolver ─▶ gate ─▶ pins ─▶ first ─▶ begin ─▶ etcd ─▶ born
//	                            ├─ the same, joins ─▶ ask peers ─▶ gate ─▶ pins ─▶ begin ─▶ etcd ─▶ born
//	                            └─ else: refused
//
// # What it promises
//
// A member never starts with an empty or foreign data directory under an ID
// that once had data (rule R6); never founds a cluster unless the host's own
// resolver shows all expected peers, exactly, and then with that very list and
// those addresses, whatever DNS says a moment later (rule R3); never joins one
// whose members do not list it under its ID, as one that has never started; and
// with data of its own and pinned peers it asks no name server at all (rule R9).
// Peers that join while it runs are pinned as soon as its new node is there. What it
// refuses is in its status and its log before the process ends. Two members
// never run from one configuration folder.
//
// # Data that was lost, and data that never was
//
// etcd makes its write-ahead log at the end of its first start, by renaming
// member/wal.tmp to member/wal. Afterwards the member may have voted, and an
// empty directory means loss. Before, starting again is harmless and must be
// possible: etcd ends its first start for small reasons, such as a port in use.
// No single file can tell the two apart. One written before etcd starts would
// condemn a member for an attempt that came to nothing; one written when the
// log was seen would miss a log that came and went between two looks. So there
// are two files, and each step is durable before the next is taken:
//
//	after step   first-start file    born file           write-ahead log
//	             (in the data dir)   (beside it)         (made by etcd)
//	0            -                   -                   -
//	1 begin      there               -                   -
//	2 begin      there               begun               -
//	3 etcd       there               begun               there
//	4 born       there               begun, and since    there
//
// The first-start file goes wherever the data goes. After a crash, and after
// whatever happened to the data directory meanwhile, the next start decides:
//
//	crash after   data dir as it was           data dir emptied, exchanged or not mounted
//	0             first start                  first start
//	1             first start                  first start: etcd had not been let go
//	2             first start                  refused: etcd had been let go, it may have been 3
//	3             starts, notes the birth      refused
//	4             starts                       refused
//
// The one false alarm, row 2 on the right, costs a member that holds nothing
// yet. A crash inside a step shows as the step before or after it: files are
// written beside, synced, renamed, and their folder synced. Killed during its
// first start, etcd leaves an empty database in member/snap, a half-made log in
// member/wal.tmp, or a file .touch; it takes up or removes each of them, so they
// count as nothing, but only beside a first-start file: anything else in a
// data directory without a log is somebody's, and the start is refused.
//
// The born file may be lost while the data is not, where data has a disk of
// its own. It is then written anew from the data.
//
// # Data that is older than it was
//
// An earlier state of the data (a rolled-back disk, a restored backup) is the
// member's own, and data is still lost. So a mark lies beside the data directory, in
// [cluster.MarkFile]: the last record of the write-ahead log that was on the disk when the
// mark was written. etcd only appends to the log, and each record's checksum
// covers all before it: a log that has the marked record is the same one or a
// newer state of it, every other one is refused (rule R6). The log is read, not
// etcd asked: what etcd has applied may not be on this disk yet, and an etcd of
// another program gives no answer without a certificate.
//
//	read the log to its end ─▶ sync it ─▶ write the mark
//
// Whatever is cut short, the mark names nothing that is not on the disk. It may
// stay behind: what etcd wrote since the last mark, a fifth of a second's worth,
// can be lost unnoticed. A mark that cannot be written (disk full) stops nothing.
//
// # What it does not promise
//
// etcd ends the process itself, by os.Exit or by the signal it got, so that a
// status may name no exit though the process is gone: readers compare the
// stamp and ask the log. Until etcd has joined its quorum, a signal ends the
// process at once, as a crash would.
package member
