// SPDX-License-Identifier: Apache-2.0
// Threads that share a lock and ask for the process id.
use std::sync::{Arc, Mutex};
use std::thread;

fn main() {
    let count = Arc::new(Mutex::new(0u64));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let count = Arc::clone(&count);
            thread::spawn(move || {
                for _ in 0..100000 {
                    assert!(std::process::id() > 0);
                    *count.lock().unwrap() += 1;
                }
            })
        })
        .collect();
    for w in workers {
        w.join().unwrap();
    }
    println!("done {}", count.lock().unwrap());
}
