/** The board of a project, open for as long as somebody looks at it. */

import { useCallback, useEffect, useState } from "react";
import { Board } from "./board.ts";

interface Opened {
  board: Board | null;
  error: unknown;
  retry: () => void;
}

export function useBoard(key: string): Opened {
  const [attempt, setAttempt] = useState(0);
  const [opened, setOpened] = useState<{ board: Board | null; error: unknown } | null>(null);
  useEffect(() => {
    let isGone = false;
    let mine: Board | null = null;
    setOpened(null);
    Board.open(key).then(
      (board) => {
        if (isGone) return board.close();
        mine = board;
        setOpened({ board, error: null });
      },
      (error: unknown) => isGone || setOpened({ board: null, error }),
    );
    return () => {
      isGone = true;
      mine?.close();
    };
  }, [key, attempt]);
  const retry = useCallback(() => setAttempt((count) => count + 1), []);
  return { board: opened?.board ?? null, error: opened?.error ?? null, retry };
}
