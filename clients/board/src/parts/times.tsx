/** Times and durations as people read them, in the browser's language. */

import { useEffect, useState } from "react";

const UNITS = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "narrow" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** The time, again after so many milliseconds. */
function useNow(everyMs: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export function Ago({ at }: { at: string }) {
  const seconds = (Date.parse(at) - useNow(60_000)) / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["minute", 60];
  return (
    <time dateTime={at} title={new Date(at).toLocaleString()}>
      {RELATIVE.format(Math.round(seconds / size), unit)}
    </time>
  );
}

/** A day such as “Dec 3”, of a date or of a moment. */
export function dayOf(date: string): string {
  return DAY.format(new Date(date.length === 10 ? `${date}T12:00:00` : date));
}

/** The day of a moment here, such as “2026-12-03”: the one that `dayOf` shows. */
export function dateOf(at: string): string {
  const date = new Date(at);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** “2 h 05 min” */
export function duration(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return hours ? `${hours} h ${String(rest).padStart(2, "0")} min` : `${rest} min`;
}

/** “0:12:34”, counting. */
export function Running({ since }: { since: string }) {
  const seconds = Math.max(0, Math.floor((useNow(1000) - Date.parse(since)) / 1000));
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  const text = `${Math.floor(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
  // Not read out every second.
  return (
    <span className="running" role="timer" aria-live="off">
      {text}
    </span>
  );
}
