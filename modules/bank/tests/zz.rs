struct Instant(u64); impl Instant { fn now()->Self{Instant(cpu())} fn elapsed(&self)->std::time::Duration{std::time::Duration::from_nanos(cpu()-self.0)} } fn cpu()->u64{std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse().unwrap()}
use auth::Auth; use bank::Bank; use kernel::*; use std::sync::Arc; 
use proto::cosmos::bank::v1beta1::*; use proto::cosmos::base::v1beta1::Coin;
#[test] fn t() {
    let mut r = Registry::default();
    let auth = Arc::new(Auth::new(r.claim("acc",1))); let bank = Bank::new(r.claim("bank",2), auth.clone());
    let mut c = Ctx::new(View::new(Arc::new(MemBase::default()), BlockInfo::default(), Gas::unlimited()));
    let a: Vec<Address> = (0..2000u32).map(|i| { let mut b=[0u8;20]; b[..4].copy_from_slice(&i.to_be_bytes()); b[10]=(i*7) as u8; Address::new(&b).unwrap()}).collect();
    for x in &a { auth.ensure(&mut c, x).unwrap(); bank.genesis_credit(&mut c, x, &[("uve".into(), 1_000_000_000)]).unwrap(); }
    bank.init_genesis(&mut c, &serde_json::Value::Null).unwrap();
    let t: Vec<String> = a.iter().map(|x| x.to_string()).collect();
    let msgs: Vec<MsgSend> = (0..100_000).map(|i| MsgSend{from_address:t[i%2000].clone(), to_address:t[(i*37+1)%2000].clone(), amount: vec![Coin{denom:"uve".into(),amount:"5".into()}]}).collect();
    let s = Instant::now();
    for m in msgs { c.begin(u64::MAX); bank.msg_send(&mut c, m).unwrap(); c.take_events(); }
    println!("msg_send {:?}", s.elapsed()/100_000);
    let s = Instant::now();
    for i in 0..100_000 { c.begin(u64::MAX); std::hint::black_box(auth.account(&c, &a[i%2000]).unwrap()); }
    println!("account {:?}", s.elapsed()/100_000);
    let mut acc = auth.account(&c, &a[5]).unwrap().unwrap();
    let s = Instant::now();
    for i in 0..100_000 { c.begin(u64::MAX); acc.sequence=i; auth.save(&mut c, &acc).unwrap(); }
    println!("save {:?}", s.elapsed()/100_000);
    let s = Instant::now(); for i in 0..100_000 { std::hint::black_box(t[i%2000].parse::<Address>().unwrap()); } println!("parse {:?}", s.elapsed()/100_000);
    let s = Instant::now(); for i in 0..100_000 { std::hint::black_box(a[i%2000].to_string()); } println!("text {:?}", s.elapsed()/100_000);
    let s = Instant::now(); for i in 0..100_000 { c.begin(u64::MAX); std::hint::black_box(bank.balance(&c,&a[i%2000],"uve").unwrap()); } println!("balance {:?}", s.elapsed()/100_000);
}
