//! Instance numbers: the names under which VMs hold leases.
//!
//! A VM draws a number when it starts, and another one when it was given up for dead. The lowest eight bits are free: they count
//! how often the VM began anew under one key, so that each such number still says whose it is.

const EPOCHS: u64 = 0xff;

/// A VM's number from a random draw; never 0.
pub const fn vm(draw: u64) -> u64 {
    match draw & !EPOCHS {
        0 => EPOCHS + 1,
        number => number,
    }
}

/// The VM whose instance number it is.
pub const fn vm_of(instance: u64) -> u64 {
    instance & !EPOCHS
}

/// The number under which the same VM begins anew.
pub const fn next(instance: u64) -> u64 {
    vm_of(instance) | (instance.wrapping_add(1) & EPOCHS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_says_whose_it_is() {
        let first = vm(u64::MAX);
        let mut number = first;
        for _ in 0..EPOCHS {
            number = next(number);
            assert!(vm_of(number) == first && number != first);
        }
        assert_eq!(next(number), first, "after 256 times");
        assert!(vm(0) > 0 && vm_of(vm(7)) == vm(7));
    }
}
