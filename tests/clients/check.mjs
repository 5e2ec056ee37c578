// One line per check on standard output; a failed check fails the program and lets the others run.

export async function check(name, run) {
  try {
    await run();
    console.log(`ok      ${name}`);
  } catch (error) {
    console.log(`FAILED  ${name}: ${String(error?.stack ?? error).replaceAll("\n", " | ")}`);
    process.exitCode = 1;
  }
}

// A setting that run.sh exports.
export function env(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; tests/clients/run.sh sets it`);
  return value;
}
