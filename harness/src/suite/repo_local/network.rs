//! What a stranger's executable may reach over the network: one port, and names.
//!
//! Landlock knows connect(2) and bind(2) of TCP. What goes around them is closed by a filter of
//! system calls: other protocols on the same ports, data that is sent with the handshake, listening
//! at a port that the kernel chooses, and io_uring, which has all of these once more.
//!
//! Not covered: UDP, without which no name is resolved; and the host, for Landlock knows ports only.

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is,
    SeccompCondition as Condition, SeccompFilter, SeccompRule, apply_filter,
};

/// What sockets may be of: the machine's own, the internet's two, and questions to the kernel.
const FAMILIES: [libc::c_int; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];
const KINDS: [libc::c_int; 2] = [libc::SOCK_STREAM, libc::SOCK_DGRAM];
/// 0: the kind's usual one.
const PROTOCOLS: [libc::c_int; 3] = [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP];
/// Calls of the ABI of 32-bit pointers are the same ones with this bit, and a few with numbers of
/// their own.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// Takes from this thread and its children what [`super::confine`] can't take by ports.
pub(super) fn close_ways_around_ports() -> Result<(), seccompiler::Error> {
    let refuse = SeccompAction::Errno(libc::EACCES.cast_unsigned());
    let calls = calls()?.into_iter().collect();
    let arch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refuse, arch)?;
    apply_filter(&BpfProgram::try_from(filter)?)
}

/// Calls that are refused: always, or by a rule.
fn calls() -> Result<Vec<(i64, Vec<SeccompRule>)>, seccompiler::BackendError> {
    let fast_open = |flags: u8| -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
        let bit = libc::MSG_FASTOPEN.cast_unsigned().into();
        let is = Condition::new(flags, Length::Dword, Is::MaskedEq(bit), bit)?;
        Ok(vec![SeccompRule::new(vec![is])?])
    };
    let calls = vec![
        (libc::SYS_socket, sockets()?),
        (libc::SYS_sendto, fast_open(3)?),
        (libc::SYS_sendmsg, fast_open(2)?),
        (libc::SYS_sendmmsg, fast_open(3)?),
        (libc::SYS_listen, Vec::new()),
        (libc::SYS_io_uring_setup, Vec::new()),
    ];
    #[cfg(target_arch = "x86_64")]
    let calls = {
        let own = [(libc::SYS_sendmsg, 518), (libc::SYS_sendmmsg, 538)];
        let number = |call| own.iter().find(|(usual, _)| *usual == call);
        let again = calls
            .iter()
            .map(|(call, rules)| {
                (
                    X32 + number(*call).map_or(*call, |own| own.1),
                    rules.clone(),
                )
            })
            .collect::<Vec<_>>();
        [calls, again].concat()
    };
    Ok(calls)
}

/// Each refuses what is not among the allowed: family, kind, or protocol.
fn sockets() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let none_of = |argument, values: &[libc::c_int]| {
        values
            .iter()
            .map(|value| {
                let value = value.cast_unsigned().into();
                Condition::new(argument, Length::Dword, Is::Ne, value)
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let (close, wait) = (libc::SOCK_CLOEXEC, libc::SOCK_NONBLOCK);
    let flags = [0, close, wait, close | wait];
    let kinds = KINDS.map(|kind| flags.map(|flags| kind | flags));
    let mut rules = vec![SeccompRule::new(none_of(0, &FAMILIES)?)?];
    for internet in [libc::AF_INET, libc::AF_INET6] {
        let value = internet.cast_unsigned().into();
        let is = Condition::new(0, Length::Dword, Is::Eq, value)?;
        for others in [none_of(1, kinds.as_flattened())?, none_of(2, &PROTOCOLS)?] {
            rules.push(SeccompRule::new([vec![is.clone()], others].concat())?);
        }
    }
    Ok(rules)
}
